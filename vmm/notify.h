/*
 * Telling a service manager how things are: sd_notify(3) and sd_watchdog_enabled(3) of systemd 252,
 * the protocol alone. Without NOTIFY_SOCKET in the environment all of it does nothing. Main thread.
 */
#ifndef VMM_NOTIFY_H
#define VMM_NOTIFY_H

struct loop;
struct notify;

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment: no
 * child of ours is to speak for us. While the loop runs the watchdog hears of it, at half of its
 * time: what hangs in the loop is restarted. NULL: nobody wants to know.
 */
struct notify *notify_create(struct loop *loop);
void notify_destroy(struct notify *notify); /* accepts NULL, as do the others */

/* The machine runs; `status` is a line for people. */
void notify_ready(struct notify *notify, const char *status);
/* It comes to its end, which may take a while. */
void notify_stopping(struct notify *notify);

#endif
