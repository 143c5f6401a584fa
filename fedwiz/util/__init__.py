"""Files, background writes, and text made safe for a terminal."""
