"""What every layer shares: actions, events, backends, addresses. Imports only `fedwiz.util`."""
