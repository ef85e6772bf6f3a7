#include "prefetch.h"

#define LINE 64

void pjsys_prefetch(const void *data, pj_size_t size)
{
    const char *at = data;
    const char *end = at + size;
    for (; at < end; at += LINE)
        __builtin_prefetch(at, 1);
}

static void prefetch_channel(const pjmedia_channel *channel)
{
    pjsys_prefetch(&channel->pt, (const char *)(channel + 1) - (const char *)&channel->pt);
}

void pjsys_stream_prefetch(const pjmedia_stream *stream)
{
    const pjmedia_stream_common *common = (const pjmedia_stream_common *)stream;

    pjsys_prefetch(common, (const char *)&common->rtcp - (const char *)common);
    pjsys_prefetch(&common->rtcp_last_tx, (const char *)(common + 1) - (const char *)&common->rtcp_last_tx);
}

void pjsys_stream_prefetch_behind(const pjmedia_stream *stream)
{
    const pjmedia_stream_common *common = (const pjmedia_stream_common *)stream;

    prefetch_channel(common->dec);
    prefetch_channel(common->enc);
    pjsys_prefetch(common->grp_lock, LINE);
    pjsys_prefetch(common->jb_mutex, LINE);
    pjsys_prefetch(common->jb, 5 * LINE);
}
