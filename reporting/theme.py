"""The colors of roles and numbers, the same on pages, in reports and in drawings."""

ROLE_COLORS = {
    "positive": "#2e9e6b",
    "critical": "#d2603a",
    "advisor": "#8a63d2",
    "editor": "#2f7fd1",
    "judge": "#b08a1e",
}
"""One for each role, the same in charts and debates; texts have it darker or lighter, see `.who`."""

BLUE, GREEN, ORANGE, RED, GRAY = "#2f7fd1", "#2e9e6b", "#d9a13a", "#d2603a", "#8590a0"
