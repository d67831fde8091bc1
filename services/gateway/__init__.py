"""The HTTP door: submit, follow and revoke tasks; upload and search documents."""
