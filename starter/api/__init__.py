"""The REST API (DESIGN, section 5): FastAPI over the `PlanChanges` facade. `app.create_app` makes it."""
