--- Which kernel a feature came with, as Linux's own history has it.
-- @module luaprobe.features
local M = {}

-- The last helper of each version: they are numbered in the order they came (enum bpf_func_id of <linux/bpf.h>).
local HELPERS = {
  { 3, "3.19" }, { 11, "4.1" }, { 16, "4.2" }, { 22, "4.3" }, { 25, "4.4" }, { 26, "4.5" }, { 30, "4.6" },
  { 36, "4.8" }, { 41, "4.9" }, { 44, "4.10" }, { 45, "4.11" }, { 47, "4.12" }, { 50, "4.13" }, { 53, "4.14" },
  { 57, "4.15" }, { 59, "4.16" }, { 64, "4.17" }, { 80, "4.18" }, { 83, "4.19" }, { 90, "4.20" }, { 92, "5.0" },
  { 98, "5.1" }, { 108, "5.2" }, { 110, "5.3" }, { 115, "5.5" }, { 118, "5.6" }, { 124, "5.7" }, { 135, "5.8" },
  { 141, "5.9" }, { 155, "5.10" }, { 162, "5.11" }, { 163, "5.12" }, { 165, "5.13" }, { 168, "5.14" },
  { 175, "5.15" }, { 179, "5.16" }, { 185, "5.17" }, { 193, "5.18" }, { 203, "5.19" }, { 207, "6.0" },
  { 209, "6.1" }, { 211, "6.2" },
}

--- The version that a helper came with; nil for one that is newer than this list.
function M.helper(id)
  for _, row in ipairs(HELPERS) do
    if id <= row[1] then return row[2] end
  end
end

--- Types of maps by number (enum bpf_map_type): name and version.
M.MAPS = {
  { "hash", "3.19" }, { "array", "3.19" }, { "prog_array", "4.2" }, { "perf_event_array", "4.3" },
  { "percpu_hash", "4.6" }, { "percpu_array", "4.6" }, { "stack_trace", "4.6" }, { "cgroup_array", "4.8" },
  { "lru_hash", "4.10" }, { "lru_percpu_hash", "4.10" }, { "lpm_trie", "4.11" }, { "array_of_maps", "4.12" },
  { "hash_of_maps", "4.12" }, { "devmap", "4.14" }, { "sockmap", "4.14" }, { "cpumap", "4.15" }, { "xskmap", "4.18" },
  { "sockhash", "4.18" }, { "cgroup_storage", "4.19" }, { "reuseport_sockarray", "4.19" },
  { "percpu_cgroup_storage", "4.20" }, { "queue", "4.20" }, { "stack", "4.20" }, { "sk_storage", "5.2" },
  { "devmap_hash", "5.4" }, { "struct_ops", "5.6" }, { "ringbuf", "5.8" }, { "inode_storage", "5.10" },
  { "task_storage", "5.11" }, { "bloom_filter", "5.16" }, { "user_ringbuf", "6.1" }, { "cgrp_storage", "6.2" },
  { "arena", "6.9" },
}

--- Types of programs by the word that a section begins with.
M.PROGRAMS = {
  kprobe = "4.1", kretprobe = "4.1", ksyscall = "4.1", kretsyscall = "4.1", uprobe = "4.1", uretprobe = "4.1",
  usdt = "4.1", tracepoint = "4.7", tp = "4.7", perf_event = "4.9", raw_tracepoint = "4.17", raw_tp = "4.17",
  ["raw_tracepoint.w"] = "5.2", ["raw_tp.w"] = "5.2", tp_btf = "5.5", fentry = "5.5", fexit = "5.5", fmod_ret = "5.7",
  lsm = "5.7", iter = "5.8", freplace = "5.6", ["fentry.s"] = "5.10", ["fexit.s"] = "5.10", ["lsm.s"] = "5.10",
  ["fmod_ret.s"] = "5.10", ["iter.s"] = "6.0", ["kprobe.multi"] = "5.18", ["kretprobe.multi"] = "5.18",
  ["uprobe.s"] = "6.0", ["uretprobe.s"] = "6.0", ["usdt.s"] = "6.0", ["uprobe.multi"] = "6.6",
  ["uretprobe.multi"] = "6.6", ["uprobe.multi.s"] = "6.6", ["uretprobe.multi.s"] = "6.6", ["kprobe.session"] = "6.10",
  ["uprobe.session"] = "6.13", socket = "3.19", xdp = "4.8", tc = "4.1", classifier = "4.1", syscall = "5.14",
}

--- What instructions can need: name and version, by the LP_CODE_* of luaprobe.h.
M.CODE = {
  { "LP_CODE_CALL", "functions", "4.16" }, { "LP_CODE_JMP32", "jmp32", "5.1" }, { "LP_CODE_LOOP", "loops", "5.3" },
  { "LP_CODE_ATOMIC", "atomics", "5.12" }, { "LP_CODE_V4", "cpu_v4", "6.6" },
}

--- Helpers that change something outside of the program's own maps: memory, signals, packets, sockets, files.
M.CHANGES = {}
for name in ([[
  probe_write_user override_return send_signal send_signal_thread set_retval sys_bpf sys_close bprm_opts_set
  sysctl_set_new_value setsockopt bind tcp_send_ack sock_ops_cb_flags_set store_hdr_opt
  skb_store_bytes l3_csum_replace l4_csum_replace skb_vlan_push skb_vlan_pop skb_set_tunnel_key skb_set_tunnel_opt
  skb_change_proto skb_change_type skb_change_tail skb_change_head skb_adjust_room skb_set_tstamp skb_ecn_set_ce
  csum_update csum_level set_hash set_hash_invalid clone_redirect redirect redirect_map redirect_neigh redirect_peer
  sk_redirect_map sk_redirect_hash msg_redirect_map msg_redirect_hash msg_push_data msg_pop_data sk_assign
  sk_select_reuseport xdp_adjust_head xdp_adjust_meta xdp_adjust_tail xdp_store_bytes
  lwt_push_encap lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action rc_repeat rc_keydown rc_pointer_rel
]]):gmatch "%S+" do
  M.CHANGES[name] = true
end

local CALLING_KFUNCS = "5.13" -- at all

-- Kernel functions that only read, or deal with what is the program's own: references, locks, iterators, lists.
-- A "*" stands for any ending.
local QUIET_KFUNCS = {}
for version, names in pairs {
  ["5.18"] = "bpf_xdp_ct_lookup bpf_skb_ct_lookup bpf_ct_release",
  ["6.1"] = "bpf_verify_pkcs7_signature bpf_lookup_user_key bpf_lookup_system_key bpf_key_put",
  ["6.2"] = "bpf_task_acquire bpf_task_release bpf_task_from_pid bpf_cgroup_acquire bpf_cgroup_release "
    .. "bpf_cgroup_ancestor bpf_rcu_read_lock bpf_rcu_read_unlock bpf_cast_to_kern_ctx bpf_rdonly_cast "
    .. "bpf_obj_new_impl bpf_obj_drop_impl bpf_list_*",
  ["6.3"] = "bpf_cpumask_* bpf_rbtree_* bpf_xdp_metadata_*",
  ["6.4"] = "bpf_cgroup_from_id bpf_refcount_acquire_impl bpf_dynptr_from_skb bpf_dynptr_from_xdp bpf_dynptr_slice "
    .. "bpf_iter_num_*",
  ["6.5"] = "bpf_task_under_cgroup bpf_dynptr_adjust bpf_dynptr_is_null bpf_dynptr_is_rdonly bpf_dynptr_size "
    .. "bpf_dynptr_clone",
  ["6.6"] = "bpf_map_sum_elem_count",
  ["6.7"] = "bpf_iter_task_* bpf_iter_css_* bpf_throw",
  ["6.8"] = "bpf_task_get_cgroup1 bpf_percpu_obj_new_impl bpf_percpu_obj_drop_impl bpf_get_file_xattr "
    .. "bpf_get_fsverity_digest",
  ["6.10"] = "bpf_session_is_return bpf_session_cookie bpf_preempt_disable bpf_preempt_enable",
  ["6.11"] = "bpf_iter_bits_*",
  ["6.12"] = "bpf_get_task_exe_file bpf_put_file bpf_path_d_path bpf_copy_from_user_str",
  ["6.14"] = "bpf_task_from_vpid bpf_local_irq_save bpf_local_irq_restore",
} do
  for name in names:gmatch "%S+" do QUIET_KFUNCS[name] = version end
end

-- Those that change something and whose version is known. Of others it is not known what they do.
local LOUD_KFUNCS = {
  bpf_send_signal_task = "6.13", bpf_dynptr_slice_rdwr = "6.4", bpf_sock_destroy = "6.5", crash_kexec = "6.1",
  bpf_sock_addr_set_sun_path = "6.7", cgroup_rstat_updated = "6.1", cgroup_rstat_flush = "6.1",
  bpf_xdp_ct_alloc = "6.0", bpf_skb_ct_alloc = "6.0", bpf_ct_insert_entry = "6.0", bpf_ct_set_timeout = "6.0",
  bpf_ct_change_timeout = "6.0", bpf_ct_set_status = "6.0", bpf_ct_change_status = "6.0",
  bpf_set_dentry_xattr = "6.14", bpf_remove_dentry_xattr = "6.14",
}

--- What is known of a kernel function that is no helper.
-- @tparam string name
-- @treturn string the version that it came with, at least
-- @treturn boolean whether it changes something outside of the program, or may: of most it is not known
function M.kfunc(name)
  name = name:gsub("___.*$", "") -- a flavour, as libbpf calls it
  if LOUD_KFUNCS[name] then return LOUD_KFUNCS[name], true end
  if QUIET_KFUNCS[name] then return QUIET_KFUNCS[name], false end
  for pattern, version in pairs(QUIET_KFUNCS) do
    if pattern:sub(-1) == "*" and name:sub(1, #pattern - 1) == pattern:sub(1, -2) then return version, false end
  end
  return CALLING_KFUNCS, true
end

--- A version as a number that can be compared: "5.8" is 5008.
function M.number(version)
  local major, minor = version:match "^(%d+)%.(%d+)"
  return tonumber(major) * 1000 + tonumber(minor)
end

return M
