package main

import (
	"os"
	"strconv"
	"strings"
)

// bufferWanted is what a node asks the system for.
const bufferWanted = 4 << 20

// lookAtHost looks at the buffers of sockets, and at what the kernel has dropped.
func (d *doctor) lookAtHost() {
	for _, way := range []string{"rmem", "wmem"} {
		path := "/proc/sys/net/core/" + way + "_max"
		text, err := os.ReadFile(path)
		most, err2 := strconv.Atoi(strings.TrimSpace(string(text)))
		setting := "net.core." + way + "_max"
		switch {
		case err != nil || err2 != nil:
			d.find("buffers", findWarn, "", "%s of this host cannot be read", setting)
		case most < bufferWanted:
			d.find("buffers", findWarn, "sysctl -w "+setting+"=4194304, on each host", "%s of this host is %d bytes",
				setting, most)
		default:
			d.find("buffers", findOK, "", "%s of this host is %d bytes", setting, most)
		}
	}
	d.lookAtDrops()
}

// lookAtDrops reads what the kernel has counted for all sockets of this host.
func (d *doctor) lookAtDrops() {
	counted, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return
	}
	names, values := udpLines(string(counted))
	before := len(d.findings)
	for i, name := range names {
		if (name == "RcvbufErrors" || name == "SndbufErrors") && i < len(values) && values[i] != "0" {
			d.find("drops", findWarn, "a program reads its socket too late; counted since the host was started",
				"the kernel of this host has dropped %s datagrams: %s", values[i], name)
		}
	}
	if len(d.findings) == before {
		d.find("drops", findOK, "", "the kernel of this host has dropped no datagram")
	}
}

// udpLines are the names and the values of the counters of UDP.
func udpLines(text string) (names, values []string) {
	for line := range strings.Lines(text) {
		if fields, ok := strings.CutPrefix(line, "Udp: "); ok {
			names, values = values, strings.Fields(fields)
		}
	}
	return names, values
}
