#include "rtp_source.h"

/* Packets in a row that show a stream: chance or a single forged packet does not make them. */
#define IN_A_ROW 4
/* A gap in sequence numbers that loss explains: a minute of 20 ms packets, as RFC 3550 has it (MAX_DROPOUT). */
#define DROPOUT 3000
/* Silence of the old port after which the same host may speak from another one. */
#define SILENCE_NS 500000000u

static const pj_uint8_t *bytes(const void *packet)
{
    return (const pj_uint8_t *)packet;
}

/* RFC 3550 §5.1: version 2, and a whole header; and not RTCP, which may come by the same port (RFC 5761 §4). */
static pj_bool_t is_rtp(const void *packet, pj_size_t size)
{
    const pj_uint8_t *p = bytes(packet);
    return size >= 12 && p[0] >> 6 == 2 && !(p[1] >= 192 && p[1] <= 223);
}

static struct pjsys_rtp_stream stream_of(const pj_sockaddr *from, const void *packet)
{
    const pj_uint8_t *p = bytes(packet);
    struct pjsys_rtp_stream stream;
    stream.address = *from;
    stream.sequence = (pj_uint16_t)(p[2] << 8 | p[3]);
    stream.ssrc = (pj_uint32_t)p[8] << 24 | (pj_uint32_t)p[9] << 16 | (pj_uint32_t)p[10] << 8 | p[11];
    return stream;
}

/* Whether a packet goes on where the stream is, with some loss at most. */
static pj_bool_t goes_on(const struct pjsys_rtp_stream *stream, const struct pjsys_rtp_stream *packet)
{
    pj_uint16_t ahead = (pj_uint16_t)(packet->sequence - stream->sequence);
    return packet->ssrc == stream->ssrc && ahead > 0 && ahead <= DROPOUT;
}

static pj_bool_t same(const pj_sockaddr *one, const pj_sockaddr *other)
{
    return pj_sockaddr_cmp(one, other) == 0;
}

static pj_bool_t same_host(const pj_sockaddr *one, const pj_sockaddr *other)
{
    return one->addr.sa_family == other->addr.sa_family &&
           pj_memcmp(pj_sockaddr_get_addr(one), pj_sockaddr_get_addr(other), pj_sockaddr_get_addr_len(one)) == 0;
}

void pjsys_rtp_source_negotiated(struct pjsys_rtp_source *source, const pj_sockaddr *signalled)
{
    if (source->heard && same(&source->signalled, signalled))
        return;
    source->signalled = *signalled;
    source->now.address = *signalled;
    source->heard = PJ_FALSE;
    source->others = 0;
}

static void heard(struct pjsys_rtp_source *source, const struct pjsys_rtp_stream *packet, pj_uint64_t now)
{
    source->now = *packet;
    source->heard = PJ_TRUE;
    source->heard_at = now;
    source->others = 0;
}

/* Counts the packets in a row of somebody else. */
static void overheard(struct pjsys_rtp_source *source, const struct pjsys_rtp_stream *packet)
{
    pj_bool_t again = source->others && same(&source->other.address, &packet->address) &&
                      goes_on(&source->other, packet);
    source->others = again ? source->others + 1 : 1;
    source->other = *packet;
}

static pj_bool_t may_move(const struct pjsys_rtp_source *source, pj_uint64_t now)
{
    if (source->others < IN_A_ROW)
        return PJ_FALSE;
    if (!source->heard || same(&source->other.address, &source->signalled))
        return PJ_TRUE;
    if (goes_on(&source->now, &source->other))
        return PJ_TRUE;
    return same_host(&source->other.address, &source->now.address) && now >= source->heard_at + SILENCE_NS;
}

enum pjsys_rtp_verdict pjsys_rtp_source_judge(struct pjsys_rtp_source *source, const pj_sockaddr *from,
                                              const void *packet, pj_size_t size, pj_uint64_t now)
{
    pj_bool_t from_there = same(from, &source->now.address);
    struct pjsys_rtp_stream stream;

    /* Keep-alive packets may be anything; they tell nothing of a stream. */
    if (!is_rtp(packet, size))
        return from_there ? PJSYS_RTP_TAKE : PJSYS_RTP_DROP;
    stream = stream_of(from, packet);
    if (from_there) {
        heard(source, &stream, now);
        return PJSYS_RTP_TAKE;
    }
    if (!source->symmetric)
        return PJSYS_RTP_DROP;
    overheard(source, &stream);
    return may_move(source, now) ? PJSYS_RTP_MOVE : PJSYS_RTP_DROP;
}

void pjsys_rtp_source_moved(struct pjsys_rtp_source *source, pj_uint64_t now)
{
    struct pjsys_rtp_stream packet = source->other;
    heard(source, &packet, now);
}

pj_bool_t pjsys_rtp_source_is_host(const struct pjsys_rtp_source *source, const pj_sockaddr *from)
{
    return same_host(from, &source->now.address) || same_host(from, &source->signalled);
}
