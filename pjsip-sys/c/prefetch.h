/* With hundreds of calls on a thread nothing of a call is in the cache when its turn comes. What is asked for while the
 * calls before it are served is there in time. */
#ifndef PJSIP_SYS_PREFETCH_H
#define PJSIP_SYS_PREFETCH_H

#include <pjlib.h>

/* Asks for `size` bytes. Reads nothing. */
void pjsys_prefetch(const void *data, pj_size_t size);

#endif
