-- What fires is looked at every 15 s: is it still known to where it came from?
CREATE INDEX alert_firing ON alert (fingerprint, starts_at) WHERE ends_at IS NULL;
