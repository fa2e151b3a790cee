/* SPDX-License-Identifier: Apache-2.0 */
/* Host names beyond ASCII, as the name service knows them: xn--... (RFC 3492). */
#ifndef CPV_NET_PUNYCODE_H
#define CPV_NET_PUNYCODE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * `host` in UTF-8 to ASCII, in lower case, label by label. false if it is not valid
 * UTF-8 or does not fit. Whoever wants compatibility mappings (UTS 46: full-width
 * letters, ideographic full stops) must apply them before. libcurl's own conversion
 * depends on the locale; this does not.
 */
bool cpv_punycode_host(char *to, size_t room, const char *host);

#endif
