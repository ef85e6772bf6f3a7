/* With hundreds of calls on a thread nothing of a call is in the cache when its turn comes. What is asked for while the
 * calls before it are served is there in time. */
#ifndef PJSIP_SYS_PREFETCH_H
#define PJSIP_SYS_PREFETCH_H

#include <pjmedia.h>
#include <pjmedia/stream_common.h>

/* Asks for `size` bytes. */
void pjsys_prefetch(const void *data, pj_size_t size);

/* Asks for what serving a stream needs of its own record. Reads nothing of it. */
void pjsys_stream_prefetch(const pjmedia_stream *stream);

/* Asks for what that record points to: channels, jitter buffer, locks. */
void pjsys_stream_prefetch_behind(const pjmedia_stream *stream);

#endif
