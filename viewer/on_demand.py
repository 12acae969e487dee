"""Parts of a page that are built when a user opens them: few users do, and they may be long."""

from collections.abc import Callable

from nicegui import ui


def expansion(title: str, content: Callable[[], None], style: str) -> None:
    """Show a title that unfolds its content."""

    def fill() -> None:
        if opened.value and not filled:
            filled.append(True)
            with opened:
                content()

    filled: list[bool] = []
    opened = ui.expansion(title, on_value_change=fill).classes(f"w-full {style}")


def show_dialog(name: str, content: Callable[[], None]) -> None:
    """Open a dialog."""
    dialog = ui.dialog(value=True).props(f'aria-label="{name}"')
    with dialog, ui.card().classes("w-full").style("max-width: 1100px"):
        content()
        ui.button("Close", on_click=dialog.close).props("flat dense no-caps").classes("self-end")
    dialog.on("hide", dialog.delete)
