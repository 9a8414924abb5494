"""The contract of a radio: a station or an access point, never both at once, and scans.

Everything is called in the service thread. Nothing waits, and nothing raises for a failure of the
network: a string says why something failed, and becomes the last error.

    scan(ssid)          begin a scan for one network (bytes), which may be hidden, or for all (b"").
                        An attempt to connect that is under way is given up; a connection is kept
    found()             None while it runs, else a sequence of tuples in any order: (ssid, mac of 6
                        bytes, channel, rssi in dBm, one of network_status.AUTH_..., phy mode)
    scan_problem()      "", or why the last scan failed
    join(network, access_point=None)
                        begin to connect to a remembered Network; `access_point` is (mac, channel)
                        of the only one to try; None: the radio chooses
    outcome()           None while it is under way, "" as long as it is connected and has an
                        address, else why it failed: one of station.REFUSALS if and only if the
                        access point refuses the password or the login
    reason()            ESP-IDF's number of the failure that outcome() has just returned; 0: unknown
    associated()        True once associated with an access point, with or without an address
    rejoin()            the link was lost: try the same access point again
    readdress(network)  the joined Network, with other addresses: use them at once; "" or why not
    set_dns(first, second)
                        the name servers (u32s, 0: none), from now on, in place of DHCP's; both
                        0: those of DHCP
    dns()               the two name servers in use (u32s, 0: none)
    pause()             give the attempt up, but stay ready for a scan and the next attempt
    serve(network)      start this access point; "" or why it failed
    leave()             end connection, attempt, scan and access point; switch the radio off
    link(status)        the network's part of a network_status.NetworkStatus: ip, netmask and
                        gateway (u32s), mac, ap_mac, channel, ssid, auth, phy_mode; only while
                        connected or serving
    rssi()              of the connected access point, in dBm; network_status.NO_RSSI when it is
                        gone
    clients()           how many stations are on the module's access point
    mac()               of the station (6 bytes), also while the radio is off
    power(quarter_db)   set the transmit power, 0 to 82 in 0.25 dB
    save_power(on)      let the station sleep between beacons, or not
"""
