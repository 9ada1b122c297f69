"""Alerts: what one says, and the forms in which it is published."""
