package troubles

import (
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// trouble is a cluster in which something is wrong: a node in trouble, and another, each with its log.
type trouble struct {
	*clustertest.Cluster
	logs  [2]clustertest.SharedLog
	began time.Time // what is wrong
}

// The nodes of a trouble, by their places.
const (
	other = iota // which is the seed
	ill
)

// begin starts one of the two, with a log and what else it has.
func (b *trouble) begin(i int, edit func(*broach.Config), join ...int) *broach.Node {
	b.Edit = func(cfg *broach.Config) {
		cfg.Logger = loggerTo(&b.logs[i], slog.LevelDebug)
		if edit != nil {
			edit(cfg)
		}
	}
	return b.Start(i, join...)
}

// both starts the two, the other one first.
func (b *trouble) both(edit ...func(*broach.Config)) (o, n *broach.Node) {
	edit = append(edit, nil, nil)
	o = b.begin(other, edit[other])
	return o, b.begin(ill, edit[ill], other)
}

// live lets a cluster live for a while before something is wrong.
func (b *trouble) live() {
	b.Settle(time.Second)
	time.Sleep(10 * time.Second)
	b.began = time.Now()
}

var key, otherKey = clustertest.KeyOf(1), clustertest.KeyOf(2)

func keyed(keys ...[]byte) func(*broach.Config) { return func(cfg *broach.Config) { cfg.Keys = keys } }

// "Within 5 seconds each says", docs/troubles.md: all that is in its tables is said, and brings a remedy, and all that
// is here is in them.
func TestTroublesAreTold(t *testing.T) {
	rows := troubleRows(t)
	require.Contains(t, rows, fullCluster)
	delete(rows, fullCluster)
	told, tried := slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(toldTroubles))
	require.Equal(t, tried, told, "what is documented is what is tried")
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			b := new(trouble)
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				b.Cluster = c
				b.began = time.Now()
				toldTroubles[name](b)
				time.Sleep(time.Until(b.began.Add(5 * time.Second)))
				for i, says := range [2][]string{other: row.other, ill: row.node} {
					for _, words := range says {
						require.Contains(t, b.logs[i].String(), words)
					}
				}
				for _, words := range row.remedy {
					require.Contains(t, b.logs[ill].String()+b.logs[other].String(), words, "the remedy")
				}
			})
			for i := range b.logs {
				log := b.logs[i].String()
				require.NotContains(t, log, "suppressed=0")
				require.NotContains(t, log, `name=""`)
				require.NotContains(t, log, "Sesame", "an argument")
			}
		})
	}
}

// troubleRow is a row of the tables: the words in code.
type troubleRow struct{ node, other, remedy []string }

// troubleRows reads the tables of docs/troubles.md.
func troubleRows(t *testing.T) map[string]troubleRow {
	text, err := os.ReadFile("../../../docs/troubles.md")
	require.NoError(t, err)
	rows := map[string]troubleRow{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if name := strings.TrimSpace(cells[0]); len(cells) == 4 && name != "trouble" && name != "---" {
			rows[name] = troubleRow{inCode(cells[1]), inCode(cells[2]), inCode(cells[3])}
		}
	}
	return rows
}

var codePattern = regexp.MustCompile("`([^`]+)`")

func inCode(cell string) (list []string) {
	for _, m := range codePattern.FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1])
	}
	return list
}

// fullCluster is brought about by TestAFullClusterIsTold of package attacks, which has a crowd: to fill a cluster takes
// longer than all else here together.
const fullCluster = "the cluster is full"

// toldTroubles bring about what docs/troubles.md tells of, by the first words of the row. Each may take up to 5 s.
var toldTroubles = map[string]func(b *trouble){
	"nothing runs at the seed's address":          func(b *trouble) { b.begin(ill, nil, other) },
	"a firewall drops what goes to the node":      isolatedFromItsSeed,
	"the name of the seed does not resolve":       badName,
	"the seed is of another family of addresses":  func(b *trouble) { b.begin(ill, seededBy("[fd00::1]:7000")) },
	"the only seed is the node itself":            func(b *trouble) { b.begin(ill, nil, ill) },
	"the seed is the node itself by another name": itsOwnSeed,
	"other keys":                                     func(b *trouble) { b.both(keyed(key), keyed(otherKey)) },
	"no keys, where the cluster has some":            func(b *trouble) { b.both(keyed(key), nil) },
	"keys, where the cluster has none":               func(b *trouble) { b.both(nil, keyed(key)) },
	"other keys, and the seed contacts the node too": otherKeysBothWays,
	"another cluster":                                func(b *trouble) { b.both(nil, inCluster("blue")) },
	"another version of the protocol":                otherVersion,
	"it advertises an address of its own host only":  func(b *trouble) { b.both(nil, advertising("127.0.0.1:7000")) },
	"it advertises a wrong port, or an address behind NAT": func(b *trouble) {
		b.both(nil, advertising(netip.AddrPortFrom(clustertest.AddrOf(ill).Addr(), 7001).String()))
	},
	"one of its seeds never answers, others do":              absentSeed,
	"the seed advertises an address where it is not reached": func(b *trouble) { b.both(advertising("10.9.9.9:7000")) },

	"it was stopped, or starved":                           stoppedNode,
	"its network is cut":                                   cutNode,
	"a firewall between two members":                       firewall,
	"the tables of all members are too large":              largeTables,
	"its function panics":                                  panics,
	"its function returns an error":                        fails,
	"a call with wrong arguments":                          misfits,
	"it has a struct with other fields than its caller":    skews,
	"a call of a function that it does not offer any more": takenAway,
	"a function fails again and again there":               opensACircuit,
	"its log is too slow":                                  slowLog,
}
