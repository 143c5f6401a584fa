"""What every layer speaks of: actions, events, backends, addresses.  Imports nothing of fedwiz."""
