/* A round of the media clock: some calls' sockets are read one after the other, then their streams are served, then
 * what they have to send is sent. If all of that were done call by call, the kernel's code and the streams' would push
 * each other out of the processor's caches twice for each packet. */
#ifndef PJSIP_SYS_RTP_ROUND_H
#define PJSIP_SYS_RTP_ROUND_H

#include <pjmedia.h>

/* A thread's round, empty until it reads. */
typedef struct pjsys_rtp_round pjsys_rtp_round;

/* So many transports take part in a round at most. */
#define PJSYS_RTP_ROUND_MOST 32

/* NULL if there is no memory. */
pjsys_rtp_round *pjsys_rtp_round_create(void);
void pjsys_rtp_round_destroy(pjsys_rtp_round *round);

/* Lets a transport of pjsys_rtp_transport_of take part, at the next place from 0 on, and reads the RTP packets that have
 * come, with `rtcp` the RTCP packets too. Returns how many. None while it takes part in another thread's round: the old
 * stream and the new one of a call may share it for a moment. */
unsigned pjsys_rtp_round_read(pjsys_rtp_round *round, pjmedia_transport *tp, pj_bool_t rtcp);

/* Delivers what was read for a place, on this thread. What the stream then sends through that transport waits for the end
 * of the round. */
void pjsys_rtp_round_deliver(pjsys_rtp_round *round, unsigned place);

/* Sends what waits. Nobody takes part any more. The transports have to live until here. */
void pjsys_rtp_round_end(pjsys_rtp_round *round);

/* Stands in for pj_get_timestamp in RTCP's bookkeeping: during the delivery of a packet it is the time of its
 * arrival, so that jitter is the network's and not that of our reading. */
pj_status_t pjsys_arrival_timestamp(pj_timestamp *ts);

#endif
