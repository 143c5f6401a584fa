"""Real hosts on this one machine: see the script `lab` and, for tests, `fixture`."""
