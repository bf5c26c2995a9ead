package metrics

import (
	"broach"

	"github.com/prometheus/client_golang/prometheus"
)

// nodeDescs describe what a node has once.
type nodeDescs struct {
	build, guests, isolated, joined, running, queued *prometheus.Desc
	shed, rejected, panics, resent, unsent, logLost  *prometheus.Desc
	datagrams, bytes, sendErrors, refused            *prometheus.Desc
	droppedDatagrams, droppedMessages                *prometheus.Desc
}

func (c *collector) describeNode() {
	c.node = nodeDescs{
		build: c.desc("build_info", "1; the versions of broach and of Go.", "version", "goversion"),
		joined: c.desc("joined",
			"1 if it has no seeds but itself, or they have told it of the cluster; else 0."),
		isolated: c.desc("isolated", "1 if most of the peers that should be heard are silent, else 0."),
		guests:   c.desc("guests", "Processes that call this one and are no members."),

		running:  c.desc("pool_running", "Functions in the hands of workers now."),
		queued:   c.desc("pool_queued", "Calls that wait for a worker now."),
		shed:     c.desc("shed_total", "Calls whose deadline passed while they waited; they did not run."),
		rejected: c.desc("rejected_total", "Calls refused because the queue was full, or put off while it was."),
		panics:   c.desc("panics_total", "Functions that panicked."),

		datagrams:  c.desc("datagrams_total", "Datagrams received (in) and sent (out).", "direction"),
		bytes:      c.desc("bytes_total", "Payload of the datagrams received (in) and sent (out).", "direction"),
		sendErrors: c.desc("send_errors_total", "Datagrams that the system did not take."),
		droppedDatagrams: c.desc("dropped_datagrams_total",
			"Datagrams received that were dropped: see Stats for what the reasons mean.", "reason"),
		droppedMessages: c.desc("dropped_messages_total",
			"Messages in datagrams of peers that were dropped: see Stats for what the reasons mean.", "reason"),
		refused: c.desc("tables_refused_total",
			"Service tables of peers without room, or unreadable: their functions are not called."),
		resent:  c.desc("retransmits_total", "Requests that were sent again."),
		unsent:  c.desc("unsent_replies_total", "Large replies that were given up."),
		logLost: c.desc("lost_log_lines_total", "Lines that the Logger did not get."),
	}
}

func (c *collector) collectNode(to chan<- prometheus.Metric, s *broach.Stats) {
	d := &c.node
	gauge(to, d.build, 1, c.library, goVersion)
	gauge(to, d.joined, oneIf(s.Joined))
	gauge(to, d.isolated, oneIf(s.Isolated))
	gauge(to, d.guests, float64(s.Guests))

	gauge(to, d.running, float64(s.Running))
	gauge(to, d.queued, float64(s.Queued))
	counter(to, d.shed, s.Shed)
	counter(to, d.rejected, s.Rejected)
	counter(to, d.panics, s.Panics)

	counter(to, d.datagrams, s.DatagramsIn, "in")
	counter(to, d.datagrams, s.DatagramsOut, "out")
	counter(to, d.bytes, s.BytesIn, "in")
	counter(to, d.bytes, s.BytesOut, "out")
	counter(to, d.sendErrors, s.SendErrors)
	c.collectDropped(to, s)
	counter(to, d.refused, s.TablesRefused)
	counter(to, d.resent, s.Resent)
	counter(to, d.unsent, s.Unsent)
	counter(to, d.logLost, s.LogLost)
}

// collectDropped names the reasons as the fields of Stats.
func (c *collector) collectDropped(to chan<- prometheus.Metric, s *broach.Stats) {
	d := c.node.droppedDatagrams
	counter(to, d, s.Malformed, "malformed")
	counter(to, d, s.ForeignVersion, "foreign_version")
	counter(to, d, s.OtherCluster, "other_cluster")
	counter(to, d, s.Replayed, "replayed")
	counter(to, d, s.Strangers, "stranger")
	counter(to, d, s.Unanswered, "unanswered")
	counter(to, d, s.Unopened, "unopened")
	d = c.node.droppedMessages
	counter(to, d, s.UnknownKinds, "unknown_kind")
	counter(to, d, s.Unusable, "unusable")
	counter(to, d, s.InboxOverflow, "inbox_overflow")
	counter(to, d, s.Uninvited, "uninvited")
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
