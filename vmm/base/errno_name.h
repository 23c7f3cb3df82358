/*
 * Names of error numbers, for the event log, counters and metrics.
 */
#ifndef VMM_BASE_ERRNO_NAME_H
#define VMM_BASE_ERRNO_NAME_H

/* "EIO" of EIO and of -EIO. NULL: one that hosts and devices do not give. */
const char *errno_name(int error);

#endif
