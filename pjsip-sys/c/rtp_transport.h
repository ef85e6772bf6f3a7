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

/* Asks for what a round (rtp_round.h) reads first. */
void pjsys_rtp_transport_prefetch(const pjmedia_transport *tp);

#endif
