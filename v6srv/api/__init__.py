"""The REST endpoints: schema in, guard, one call, schema out."""
