"""Ground that everything stands on: database, durable work, errors, time, ids, money, settings, telemetry."""
