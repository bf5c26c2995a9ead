package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// A hop is what a proxy says of whoever sent it a request.
type hop struct {
	from netip.Addr // not valid: it does not say
	host string
}

// hiddenAddr is where a request comes from of which a proxy does not say it.
const hiddenAddr = "unknown"

// unproxy has the request look as it came to the outermost trusted proxy. What others say of its way is not looked at.
func (x *exchange) unproxy() *problem {
	if len(x.g.set.proxies) == 0 {
		return nil
	}
	at, err := netip.ParseAddrPort(x.r.RemoteAddr)
	if err != nil || !x.g.set.trusts(at.Addr()) {
		return nil
	}
	hops, ok := hopsOf(x.r.Header)
	if !ok {
		return newProblem(http.StatusBadRequest, "bad-forwarded", "Forwarded or X-Forwarded-For is malformed")
	}
	r := *x.r
	for i := len(hops) - 1; i >= 0; i-- {
		if r.RemoteAddr = hiddenAddr; hops[i].from.IsValid() {
			r.RemoteAddr = netip.AddrPortFrom(hops[i].from, 0).String()
		}
		if hops[i].host != "" {
			r.Host = hops[i].host
		}
		if !x.g.set.trusts(hops[i].from) {
			break
		}
	}
	x.r = &r
	return nil
}

func (s *settings) trusts(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// hopsOf reads the way of a request, the nearest hop last: by Forwarded, if there is one.
func hopsOf(h http.Header) (hops []hop, ok bool) {
	if forwarded := h["Forwarded"]; forwarded != nil {
		return forwardedHops(strings.Join(forwarded, ","))
	}
	for _, text := range splitList(strings.Join(h["X-Forwarded-For"], ",")) {
		from, ok := parseNode(text)
		if !ok {
			return nil, false
		}
		hops = append(hops, hop{from: from})
	}
	if len(hops) > 0 { // the nearest proxy says it of its own request
		hops[len(hops)-1].host = h.Get("X-Forwarded-Host")
	}
	return hops, true
}

// forwardedHops reads a header of RFC 7239.
func forwardedHops(text string) (hops []hop, ok bool) {
	for _, element := range splitList(text) {
		var next hop
		for pair := range strings.SplitSeq(element, ";") {
			name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
			if value = strings.Trim(value, `"`); !found {
				return nil, false
			}
			switch strings.ToLower(name) {
			case "for":
				if next.from, ok = parseNode(value); !ok {
					return nil, false
				}
			case "host":
				next.host = value
			}
		}
		hops = append(hops, next)
	}
	return hops, true
}

func splitList(text string) (list []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// parseNode reads an address with a port or without. One that hides itself is not valid, which is no mistake.
func parseNode(text string) (netip.Addr, bool) {
	if text == "unknown" || strings.HasPrefix(text, "_") {
		return netip.Addr{}, true
	}
	if a, err := netip.ParseAddr(hostOnly(text)); err == nil {
		return a, true
	}
	return netip.Addr{}, false
}
