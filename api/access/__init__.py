"""Who may use the API: users, their roles, sessions and tokens.

Must live here: accounts, the guard before a call, what a browser is told to keep to. Must not:
senders of events (api.sources), what a guarded call does.
"""
