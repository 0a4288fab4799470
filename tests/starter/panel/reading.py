"""Reading a page as a test does: what it says, and what its forms send."""

import re
from html import unescape
from typing import Any

import httpx


def text(page: httpx.Response) -> str:
    """Return what a page says, without markup."""
    bare = re.sub(r"<(script|style|title)[^>]*>.*?</\1>|<[^>]+>", " ", page.text, flags=re.DOTALL)
    return re.sub(r"[\s\N{NO-BREAK SPACE}]+", " ", bare.replace("&#39;", "'"))


def action(page: str, form_class: str) -> str:
    """Return where the form with this class is posted to."""
    found = re.search(rf'<form(?=[^>]*class="{form_class}")[^>]*action="([^"]*)"', page)
    assert found is not None, page
    return unescape(found[1])


def in_language(page: str, language: str) -> str:
    """Return where the page leads in another language."""
    found = re.search(rf'<a href="([^"]*)" lang="{language}"', page)
    assert found is not None, page
    return unescape(found[1])


def fields(page: str, form_class: str) -> dict[str, Any]:
    """Return the hidden and text fields of the form with this class."""
    found = re.search(rf'<form[^>]*class="{form_class}".*?</form>', page, flags=re.DOTALL)
    assert found is not None, page
    values: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", found[0]):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox":
            continue
        if attributes["name"] in {"shown", "options"}:
            values.setdefault(attributes["name"], []).append(attributes["value"])
        else:
            values[attributes["name"]] = attributes["value"]
    return values
