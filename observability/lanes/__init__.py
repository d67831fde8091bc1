"""What metrics say of lanes: from samples, of endpoints or of Prometheus, to figures for people."""
