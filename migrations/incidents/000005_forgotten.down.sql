DROP INDEX alert_firing;
