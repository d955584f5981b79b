# SPDX-License-Identifier: MIT
"""test_delay.py -- l7 delay against the textbook's cases, computed here once more."""
import json
import os
import xml.dom.minidom

import harness


class Delay(harness.TestCase):
    def delay(self, *args, status=0):
        code, out, err = self.run_l7(['delay', *args])
        self.assertEqual(code, status, err)
        return out

    def lines(self, *args):
        found = [json.loads(line) for line in self.delay('--json', *args).splitlines()]
        path = [o for o in found if o['type'] == 'path'][0]
        return path, {o['model']: o for o in found if o['type'] == 'queue'}, [o for o in found if o['type'] == 'link']

    def near(self, got, want):
        self.assertLess(abs(got - want), 1e-6 * abs(want))

    def test_ten_packets_over_two_links(self):
        path, _, links = self.lines('--packets', 10, '--hops', 2, '--length', 1000, '--rate', '1M', '--distance', '100km')
        self.near(path['last'], 11 * 8e-3 + 2 * 5e-4)
        self.near(path['last_simulated'], path['last'])
        self.near(path['throughput'], 10 * 8000 / path['last'])
        self.assertEqual(len(links), 2)

    def test_lists_and_bottleneck(self):
        path, _, links = self.lines('--rate', '10M,2M,1G', '--distance', '1km,5000km', '--speed', '2e8,2.5e8',
                                    '--processing', '1ms', '--length', 1500, '--packets', 100)
        self.assertEqual((path['bottleneck'], path['bottleneck_rate']), (2, 2e6))
        self.assertEqual([x['distance'] for x in links], [1e3, 5e6, 5e6])
        first = 3e-3 + 12000 * (1e-7 + 5e-7 + 1e-9) + 1e3 / 2e8 + 2 * 5e6 / 2.5e8
        self.near(path['first'], first)
        self.near(path['last'], first + 99 * 6e-3)
        self.near(path['last_simulated'], path['last'])

    def test_queues_at_ninety_percent(self):
        _, queues, links = self.lines('--load', '0.9', '--buffer', 20)
        self.near(queues['M/M/1']['wait'], 0.072)
        self.near(queues['M/D/1']['wait'], 0.036)
        self.near(queues['M/M/1/K']['loss'], 0.1 * 0.9**20 / (1 - 0.9**21))
        self.near(links[0]['queueing'], 0.072)
        for q in queues.values():
            self.assertTrue(q['inside'], q)

    def test_a_full_link_has_no_bound_but_a_loss(self):
        _, queues, _ = self.lines('--load', 1.25, '--buffer', 5)
        self.assertIsNone(queues['M/M/1']['wait'])
        self.near(queues['M/M/1/K']['loss'], (1 - 1.25) * 1.25**5 / (1 - 1.25**6))
        self.assertIn('unbounded', self.delay('--load', 1.25))

    def test_other_loads_and_buffers(self):
        """Each closed form once more by another road: the states' shares of M/M/1/K summed up, Pollaczek and Khinchine."""
        for load, buffer in ('0.5', 1), ('0.5', 3), ('0.99', 65536), ('0.99', 10), ('1', 9), ('3', 4):
            _, queues, links = self.lines('--load', load, '--buffer', buffer, '--rate', '2M,10M', '--length', 500)
            rho, service = float(load), 4000 / 2e6
            self.near(queues['M/M/1/K']['loss'], rho**buffer / sum(rho**n for n in range(buffer + 1)))
            if rho < 1:
                arrivals = rho / service
                for model, square in ('M/M/1', 2 * service**2), ('M/D/1', service**2):
                    self.near(queues[model]['wait'], arrivals * square / (2 * (1 - rho)))
                self.near(links[1]['queueing'], rho / (1 - rho) * 4000 / 10e6)  # each link has its own
            else:
                self.assertIsNone(queues['M/D/1']['wait'])

    def test_simulation_agrees_within_its_interval(self):
        """An interval of 95 % misses one time in twenty: of 45 models, loads and seeds a few may."""
        held = total = 0
        for load in '0.3', '0.7', '0.9':
            for seed in range(1, 6):
                _, queues, _ = self.lines('--load', load, '--buffer', 5, '--seed', seed, '--samples', 300000)
                held += sum(q['inside'] for q in queues.values())
                total += len(queues)
        self.assertEqual(total, 45)
        self.assertGreaterEqual(held, 38)

    def test_units(self):
        path, _, links = self.lines('--rate', '1.5G,9600bit/s,64kbit/s', '--distance', '300m,0.5km,0', '--speed', '299792458',
                                    '--length', '1K', '--packets', 1)
        self.assertEqual([x['rate'] for x in links], [1.5e9, 9600, 64000])
        self.assertEqual([x['distance'] for x in links], [300, 500, 0])
        self.assertEqual(path['bits'], 8 * 1024)
        self.near(path['last'], 8192 * (1 / 1.5e9 + 1 / 9600 + 1 / 64000) + 800 / 299792458)

    def test_drawing_shows_formula_and_simulation_against_load(self):
        svg = os.path.join(self.tmpdir, 'load.svg')
        self.delay('--json', '--load', '0.5', '--rate', '1M', '--length', 1000, '--svg', svg)
        text = xml.dom.minidom.parse(svg).toxml()
        for word in 'M/M/1', 'M/D/1', 'simulated M/M/1', 'load', 'ms':
            self.assertIn('>' + word + '<', text)
        self.delay('--svg', '/dev/null/absent/x.svg', status=1)

    def test_text_shows_formulas_and_drawing(self):
        svg = os.path.join(self.tmpdir, 'load.svg')
        out = self.delay('--load', '0.5', '--svg', svg)
        self.assertIn('I/(1-I) L/R = 0.5/(1-0.5) x 8 ms = 8 ms', out)
        self.assertIn('17 ms + 9 x 8 ms = 89 ms', out)
        self.assertRegex(out, '[\u2801-\u28ff]')
        self.assertEqual(xml.dom.minidom.parse(svg).documentElement.tagName, 'svg')
        self.assertEqual(out, self.delay('--load', '0.5'))  # the same seed, the same figures
        self.assertNotEqual(out, self.delay('--load', '0.5', '--seed', 2))

    def test_usage(self):
        for args in (['--rate', '0'], ['--rate', '1Q'], ['--rate', '1M,'], ['--load', '-1'], ['--hops', 65], ['--packets', 0],
                     ['--buffer', 5], ['--samples', 1], ['--distance', 'nan'], ['--length', 0]):
            self.delay(*args, status=2)


if __name__ == '__main__':
    harness.main()
