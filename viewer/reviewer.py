"""Who reviews: a name that is given once and that the browser keeps."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, unquote

from nicegui import ui

from ledger.decisions import MAX_NAME, reviewer_name

_COOKIE = "coevol_reviewer"

_YEAR = 365 * 24 * 60 * 60

_WHY = (
    "Your decisions are stored under your name, next to those of others. This browser keeps it. Leave it "
    "empty if you review alone."
)


def reviewer_in(cookies: Mapping[str, str]) -> str | None:
    """Return the name that the browser keeps, empty for who gave none; None before it was asked for."""
    given = cookies.get(_COOKIE)
    return None if given is None else reviewer_name(unquote(given, errors="replace"))


def this_reviewer() -> str:
    """Return the name of who sees the page that is built, or nothing."""
    return reviewer_in(ui.context.client.request.cookies) or ""


def ask_name(name: str, given: Callable[[str], Awaitable[None]]) -> None:
    """Ask for a name; `given` receives it once the browser keeps it, and nothing if the dialog is closed."""

    async def keep() -> None:
        chosen = reviewer_name(str(field.value or ""))
        dialog.close()
        kept = f"{_COOKIE}={quote(chosen, safe='')}; path=/; max-age={_YEAR}; samesite=lax"
        ui.run_javascript(f"document.cookie = '{kept}'")
        await given(chosen)

    with ui.dialog(value=True).props('aria-label="Who reviews"') as dialog, ui.card().classes("who-reviews"):
        ui.label("Who reviews?").classes("text-lg font-semibold")
        ui.label(_WHY).classes("faint small")
        with ui.row().classes("items-center gap-3 w-full"):
            field = ui.input("Your name", value=name).props(f"outlined dense autofocus maxlength={MAX_NAME}")
            field.classes("grow reviewer-name").on("keydown.enter", keep)
            ui.button("Go on", on_click=keep).props("no-caps").classes("go-on")
    dialog.on("hide", dialog.delete)
