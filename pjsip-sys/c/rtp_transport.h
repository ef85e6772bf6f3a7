/* The media transport of PJSUA's calls: two UDP sockets without an I/O queue, read by whoever serves the stream. */
#ifndef PJSIP_SYS_RTP_TRANSPORT_H
#define PJSIP_SYS_RTP_TRANSPORT_H

#include <pjmedia.h>

/* Stands in for pjmedia_transport_udp_attach in PJSUA. The transport owns the sockets from here on. */
pj_status_t pjsys_rtp_transport_attach(pjmedia_endpt *endpt, const char *name, const pjmedia_sock_info *si,
                                       unsigned options, pjmedia_transport **p_tp);

/* Stands in for pjmedia_transport_srtp_create in PJSUA: where nothing is ever encrypted, the plain transport itself, which
 * refuses what is. SRTP's would pass everything on, at the price of 11 KB a call. */
pj_status_t pjsys_srtp_transport_create(pjmedia_endpt *endpt, pjmedia_transport *tp, const pjmedia_srtp_setting *opt,
                                        pjmedia_transport **p_tp);

/* The transport under a stream, below SRTP if there is that, with a reference of its group lock: as long as that is
 * held the sockets stay open, though the transport may be destroyed. NULL if it is of another kind. */
pjmedia_transport *pjsys_rtp_transport_of(pjmedia_stream *stream);

/* Whether the far end's RTP may come from elsewhere than its SDP says, by the rules of rtp_source.h. It may, until this
 * says otherwise. */
void pjsys_rtp_transport_set_symmetric(pjmedia_transport *tp, pj_bool_t symmetric);

/* Delivers the RTP packets that have come, and with `rtcp` the RTCP packets too, on this thread. Returns how many.
 * None while another thread does so: the old stream and the new one of a call may share the transport for a moment. */
unsigned pjsys_rtp_transport_poll(pjmedia_transport *tp, pj_bool_t rtcp);

/* Asks for what the poll reads. */
void pjsys_rtp_transport_prefetch(const pjmedia_transport *tp);

/* Stands in for pj_get_timestamp in RTCP's bookkeeping: during the delivery of a packet it is the time of its
 * arrival, so that jitter is the network's and not that of our polling. */
pj_status_t pjsys_arrival_timestamp(pj_timestamp *ts);

#endif
