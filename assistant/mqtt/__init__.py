"""The home behind an MQTT broker, as Home Assistant speaks to it."""
