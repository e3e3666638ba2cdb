"""Run an artifact: sessions on this host, on devices over ADB, with power meters. Does not judge results."""
