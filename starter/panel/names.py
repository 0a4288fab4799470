"""What a customer calls things: offers and options by their names in the catalogue, never by codes."""

from collections.abc import Mapping, Sequence

from changeover.domain.catalogue import Configuration
from starter.views import OfferView


class Names:
    """Names in one language. What the catalogue doesn't name any more is shown by its code."""

    def __init__(self, offers: Sequence[OfferView], language: str) -> None:
        self._language = language
        self._offers = {view.offer.code: view.offer for view in offers}

    def offer(self, code: str) -> str:
        return self.of(self._offers[code].names, code) if code in self._offers else code

    def option(self, offer: str, code: str) -> str:
        found = self._offers[offer].option(code) if offer in self._offers else None
        return self.of(found.names, code) if found is not None else code

    def options(self, configuration: Configuration) -> list[str]:
        return [self.option(configuration.offer, code) for code in configuration.options]

    def of(self, names: Mapping[str, str], code: str) -> str:
        return names.get(self._language) or code
