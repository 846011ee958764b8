// Sends with @segment/analytics-node as a shop's server would: `node drive_node.js URL KEY N`.
// Prints what must arrive: [[customer's key in the log, [event names in order]], ...].
const { Analytics } = require('@segment/analytics-node')

async function main() {
  const [url, writeKey, count] = process.argv.slice(2)
  const analytics = new Analytics({ writeKey, host: url, maxRetries: 3 })
  const failed = []
  analytics.on('error', (error) => failed.push(error))
  const sent = {}
  const note = (customer, name) => (sent[customer] ??= []).push(name)

  for (const i of [0, 1]) {
    const anonymousId = `node-visitor-${i}`
    const userId = `node-user-${i}`
    analytics.page({ anonymousId, name: 'Home' })
    note(`a:${anonymousId}`, 'Page Viewed')
    analytics.identify({ userId, anonymousId, traits: { name: '顾客' } })
    note(`u:${userId}`, 'Identified')
    analytics.group({ userId, groupId: 'vip' })
    note(`u:${userId}`, 'Group Identified')
    analytics.screen({ userId, name: 'Cart' })
    note(`u:${userId}`, 'Screen Viewed')
    analytics.alias({ userId, previousId: anonymousId })
    note(`u:${userId}`, 'Aliased')
  }
  await analytics.flush()
  for (let i = 0; i < Number(count); i++) {
    const userId = `node-user-${i % 2}`
    const event = `Node Event ${i}`
    analytics.track({ userId, event, properties: { price: 9.9, product_id: `p${i}` } })
    note(`u:${userId}`, event)
    // The SDK has several batches under way at once; who wants an order between them waits.
    if (i % 14 === 13) await analytics.flush()
  }
  await analytics.closeAndFlush()
  if (failed.length) throw failed[0]
  console.log(JSON.stringify(Object.entries(sent)))
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
