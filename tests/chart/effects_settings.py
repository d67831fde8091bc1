"""What the settings do that have no value of their own: each reaches all processes by its name."""

from chart.effect import Effect

_GIVEN = {
    "result_expires_s": 3_600,
    "broker_timeout_s": 2.5,
    "broker_memory_watermark": 0.5,
    "transport": "kombu",
    "pool": "celery",
    "message_limit_bytes": 1_048_576,
    "document_roots": ["s3://archive/2026"],
    "document_hosts": ["files.example.org"],
    "document_private_hosts": True,
    "document_limit_bytes": 12_345_678,
    "document_unpacked_limit_bytes": 123_456_789,
    "chunk_chars": 500,
    "chunk_overlap_chars": 50,
    "embedder": "openai",
    "embedding_url": "https://embeddings.example.org/v1",
    "embedding_model": "multilingual-e5-base",
    "embedding_dimension": 768,
    "embedding_timeout_s": 10,
    "embedding_batch": 64,
    "embedding_model_dir": "/opt/model",
    "smtp_timeout_s": 5,
    "gateway_payload_limit_bytes": 524_288,
    "gateway_bulk_limit": 100,
    "gateway_wait_ms": 1_000,
    "log_level": "debug",
    "log_format": "console",
}

_TOGETHER = {"embedder": {"settings": {"embedding_url": "https://embeddings.example.org/v1"}}}
"""What else it takes to give a setting."""

SETTINGS: dict[str, Effect] = {
    f"settings.{name}": Effect(
        value,
        f"ConfigMap/laneway-config data settings.yaml {name}",
        given=_TOGETHER.get(name, {}),
    )
    for name, value in _GIVEN.items()
}
