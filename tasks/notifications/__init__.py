"""Notifications: mail, through the SMTP server of the settings."""
