"""The engine for one site, put together from the rooms below: for operations, `status`, the doctor and a screen."""
