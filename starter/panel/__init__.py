"""The web panel: server-rendered pages in French and English over the `PlanChanges` facade.

Every step works without scripts; htmx only spares reloads. `create_panel` makes the application, which is
mounted wherever the host likes (`/panel`); `python -m starter.panel` runs it alone.
"""

from starter.panel.app import create_panel

__all__ = ["create_panel"]
