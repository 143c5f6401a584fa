"""The colour themes: dark and light."""

from textual.theme import Theme

DARK = Theme(
    name="fedwiz-dark",
    dark=True,
    primary="#6fb3d2",
    secondary="#8aa5b8",
    accent="#e0b96a",
    success="#8fbf7f",
    warning="#e0b96a",
    error="#e5786d",
    foreground="#d6dade",
    background="#14181c",
    surface="#1b2126",
    panel="#20272d",
    variables={
        "text-muted": "#9aa5ac",
        "footer-background": "#20272d",
        "footer-key-foreground": "#6fb3d2",
        "block-cursor-text-style": "none",
        "input-selection-background": "#6fb3d2 35%",
    },
)
LIGHT = Theme(
    name="fedwiz-light",
    dark=False,
    primary="#1f6f94",
    secondary="#4d6577",
    accent="#8a5a00",
    success="#2f6b22",
    warning="#8a5a00",
    error="#b3261e",
    foreground="#22272b",
    background="#f7f7f4",
    surface="#ecece8",
    panel="#e2e3de",
    variables={
        "text-muted": "#5f686e",
        "footer-background": "#e2e3de",
        "footer-key-foreground": "#1f6f94",
        "block-cursor-text-style": "none",
    },
)
