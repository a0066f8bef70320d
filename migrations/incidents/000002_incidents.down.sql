DROP TABLE alert;
DROP TABLE incident;
DROP TABLE alert_delivery;
