/* Empty: config_site.h decides, nothing is detected. */
