package broach

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"broach/internal/udp"
)

// What an address in a Config must look like, in words for the error.
const (
	addrForm      = `must be an IP address and a port such as "192.0.2.7:18080" or "[2001:db8::7]:18080", without a zone, not multicast`
	advertiseForm = addrForm + ", not 0.0.0.0 or ::, port 1 to 65535"
	seedForm      = `must be a host name or an IP address and a port 1 to 65535, such as "seed.example.org:18080"`
)

// parseAddr takes an address that the socket of a node may have.
func parseAddr(s string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil || !isUnicast(addr.Addr()) {
		return netip.AddrPort{}, false
	}
	return udp.Unmapped(addr), true
}

// isUnicast takes addresses of one node. A zone names an interface of this machine, and nothing on any other.
func isUnicast(ip netip.Addr) bool {
	return ip.Zone() == "" && !ip.IsMulticast()
}

// parseSeed splits the address of a member to join. The host may be a name, which is not looked up here.
func parseSeed(seed string) (host string, port uint16, ok bool) {
	host, digits, err := net.SplitHostPort(seed)
	number, bad := strconv.ParseUint(digits, 10, 16)
	if err != nil || bad != nil || number == 0 || !isHost(host) {
		return "", 0, false
	}
	return host, uint16(number), true
}

func isHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return isUnicast(ip) && !ip.Unmap().IsUnspecified()
	}
	return isHostName(host)
}

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// isHostName takes what DNS takes. No name ends in a number: that is an IP address with a mistake in it.
func isHostName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if !hostLabel.MatchString(label) {
			return false
		}
	}
	return len(host) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
