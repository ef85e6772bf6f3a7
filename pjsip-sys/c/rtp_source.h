/* Where a call's RTP comes from, and so where ours goes: what moves it, and what does not.
 *
 * The far end's SDP says where it is. It may send from elsewhere: behind a translation (NAT) it does not know its own
 * address, and a media server may change over to another port without an offer. A stranger who finds the port can send
 * packets too, and must neither be heard nor get our sound. So:
 *
 *  1. Packets from where the far end is, are taken.
 *  2. As long as nothing has come from there since its SDP named the address, the far end is where four packets of one
 *     stream come from, one after the other (symmetric RTP, RFC 4961). Should the address of the SDP speak up later, it
 *     is there again.
 *  3. Once it has been heard it moves when its stream goes on elsewhere: four packets with the same SSRC whose sequence
 *     numbers follow the last one, and none from the old place in between. Who has not seen its packets does not know
 *     these 32 bits.
 *  4. It moves to another port of the same address, with any SSRC, once the old place has been silent for half a second.
 *  5. To any other place only an offer or an answer with another address moves it.
 *
 * What is not taken is not heard, counts for nothing, and gets no reply. Above SRTP a packet has to be authentic, too, to
 * move anything: that is the listener's word. */
#ifndef PJSIP_SYS_RTP_SOURCE_H
#define PJSIP_SYS_RTP_SOURCE_H

#include <pjlib.h>

/* What becomes of a packet. */
enum pjsys_rtp_verdict {
    PJSYS_RTP_DROP,
    PJSYS_RTP_TAKE,
    /* It is taken if the listener finds it authentic, and the far end has moved then: pjsys_rtp_source_moved. */
    PJSYS_RTP_MOVE
};

/* A stream of RTP: who sends it, and how far it has come. */
struct pjsys_rtp_stream {
    pj_sockaddr address;
    pj_uint32_t ssrc;
    pj_uint16_t sequence;
};

struct pjsys_rtp_source {
    /* What the far end's SDP says. */
    pj_sockaddr signalled;
    /* Whether it may be anywhere else: no rule but the first and the last one without it. */
    pj_bool_t symmetric;
    /* Where it is, and whether it was heard there. */
    struct pjsys_rtp_stream now;
    pj_bool_t heard;
    /* Nanoseconds. */
    pj_uint64_t heard_at;
    /* Who else sends, and how many packets in a row; 0 for nobody. */
    struct pjsys_rtp_stream other;
    unsigned others;
};

/* An offer and an answer say where the far end is. One that says the same as the one before moves nothing. */
void pjsys_rtp_source_negotiated(struct pjsys_rtp_source *source, const pj_sockaddr *signalled);

/* Judges a packet from `from` that came at `now`, in nanoseconds. */
enum pjsys_rtp_verdict pjsys_rtp_source_judge(struct pjsys_rtp_source *source, const pj_sockaddr *from,
                                              const void *packet, pj_size_t size, pj_uint64_t now);

/* The packet that was judged last has moved the far end. */
void pjsys_rtp_source_moved(struct pjsys_rtp_source *source, pj_uint64_t now);

/* Whether RTCP from there can be the far end's: its port need not be known (RFC 3605), its address is that of the RTP. */
pj_bool_t pjsys_rtp_source_is_host(const struct pjsys_rtp_source *source, const pj_sockaddr *from);

#endif
