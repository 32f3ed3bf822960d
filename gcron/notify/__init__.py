"""Notifications: messages about jobs, to people and to other programs (docs/notifications.md)."""
