"""How pypm starts with the machine: systemd, cron and launchd, each as text, and as steps to take."""
